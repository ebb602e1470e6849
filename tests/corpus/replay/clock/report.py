from datetime import datetime, timezone

with open("report.txt", "w") as out:
    print("made", datetime.now(timezone.utc).isoformat(), file=out)
    print("six times seven is", 6 * 7, file=out)
