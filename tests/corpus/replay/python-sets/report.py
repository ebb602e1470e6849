import json

words = {"wolf", "bear", "lynx", "otter", "heron", "raven", "adder", "perch"}
with open("report.json", "w") as out:
    json.dump({"animals": list(words), "n": len(words)}, out, indent=2)
