import tempfile

with tempfile.NamedTemporaryFile() as scratch, open("report.txt", "w") as out:
    scratch.write(b"6 * 7")
    print("worked in", scratch.name, file=out)
    print("six times seven is", 6 * 7, file=out)
