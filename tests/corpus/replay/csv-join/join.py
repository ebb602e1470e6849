import csv
import sys

people, cities, joined = sys.argv[1:]
with open(cities) as rows:
    countries = {row["city"]: row["country"] for row in csv.DictReader(rows)}
with open(people) as rows, open(joined, "w", newline="") as out:
    writer = csv.writer(out)
    writer.writerow(["name", "city", "country"])
    for row in csv.DictReader(rows):
        writer.writerow([row["name"], row["city"], countries.get(row["city"], "")])
