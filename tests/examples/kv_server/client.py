"""What a program does that uses redis-py: client.py PORT COUNT. Prints what it has found, as JSON."""

import json
import sys

import redis

port, count = map(int, sys.argv[1:])
client = redis.Redis(port=port, client_name="me", username="default", password="any", decode_responses=True)
found = {"name": client.client_getname()}
client.set("greeting", "hello")
found["value"] = client.get("greeting")
found["missing"] = client.get("nothing")
pipeline = client.pipeline(transaction=False)
for number in range(count):
    pipeline.set(f"key {number}", "x" * 1000)
for number in range(count):
    pipeline.get(f"key {number}")
answers = pipeline.execute()
found["pipelined"] = sum(answer == "x" * 1000 for answer in answers)
found["scanned"] = len(set(client.scan_iter(match="key *", count=7)))
try:
    client.incr("greeting")
except redis.ResponseError as error:
    found["error"] = str(error)
try:
    redis.Redis(port=port, db=1).ping()
except redis.ResponseError as error:
    found["other database"] = str(error)
print(json.dumps(found))
