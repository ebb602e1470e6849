import collections
import csv
import json
import re
import sys

LINE = re.compile(r"(?P<path>/\S*) (?P<status>\d{3}) (?P<bytes>\d+)$")
seen = collections.defaultdict(lambda: {"hits": 0, "bytes": 0, "statuses": set()})
with open(sys.argv[1]) as lines:
    for line in lines:
        if found := LINE.search(line):
            entry = seen[found["path"]]
            entry["hits"] += 1
            entry["bytes"] += int(found["bytes"])
            entry["statuses"].add(found["status"])
with open("summary.csv", "w", newline="") as out:
    writer = csv.writer(out)
    writer.writerows([path, entry["hits"], entry["bytes"]] for path, entry in seen.items())
with open("summary.json", "w") as out:
    json.dump({path: list(entry["statuses"]) for path, entry in seen.items()}, out)
