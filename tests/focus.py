"""Checks a FOCUS export against a list of columns, with Python's standard library: focus.py COLUMNS.csv EXPORT.csv"""

import csv
import json
import sys
from datetime import datetime
from decimal import Decimal

columns = {row["column"]: row for row in csv.DictReader(open(sys.argv[1], newline=""))}
export = csv.DictReader(open(sys.argv[2], newline=""))
# Conditional columns whose condition holds: usage is measured, prices are of units and may be one's own, there are tags.
HELD = """ConsumedQuantity ConsumedUnit ContractedUnitPrice ListUnitPrice PricingCategory SkuId SkuMeter SkuPriceDetails
SkuPriceId Tags""".split()
needed = [name for name, rule in columns.items() if rule["level"] != "Conditional" or name in HELD]
faults = [f"column {name} is missing" for name in needed if name not in (export.fieldnames or [])]
columns = {name: rule for name, rule in columns.items() if name in (export.fieldnames or [])}
all_columns = {row["column"] for row in csv.DictReader(open(sys.argv[1], newline=""))}
faults += [
    f"column {name} is neither of the specification nor prefixed by x_"
    for name in export.fieldnames or []
    if name not in all_columns and not name.startswith("x_")
]
rows = total = 0
prices, skus, details = {}, {}, {}
for number, row in enumerate(export, start=2):
    rows += 1
    for name, rule in columns.items():
        value = row.get(name) or ""
        if not value:
            if rule["nulls"] == "no":
                faults.append(f"line {number}: {name} is null")
            continue
        if rule["values"] and value not in rule["values"].split("|"):
            faults.append(f"line {number}: {name} is {value!r}")
        if rule["type"] == "decimal":
            Decimal(value)
        if rule["type"] == "datetime":
            datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
        if rule["type"] == "json" and not all(
            isinstance(one, (str, int, bool)) for one in json.loads(value).values()
        ):
            faults.append(f"line {number}: {name} is no object of plain values")
    for known, what in ((prices, "ListUnitPrice"), (skus, "SkuId"), (details, "SkuPriceDetails")):
        if known.setdefault(row["SkuPriceId"], row[what]) != row[what]:
            faults.append(f"line {number}: {row['SkuPriceId']} has two of {what}")
    if not row["SkuPriceId"]:
        faults.append(f"line {number}: usage without SkuPriceId")
    if any(not key.startswith("x_") for key in json.loads(row["SkuPriceDetails"] or "{}")):
        faults.append(f"line {number}: SkuPriceDetails has a key that is neither of the specification nor prefixed by x_")
    if not row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]:
        faults.append(f"line {number}: the charge period is not within the billing period")
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        if row[price] and Decimal(row[price]) * Decimal(row["PricingQuantity"]) != Decimal(row[cost]):
            faults.append(f"line {number}: {cost} is not {price} times PricingQuantity")
    if not row["ListUnitPrice"] and row["ListCost"] != row["BilledCost"]:
        faults.append(f"line {number}: without a unit price ListCost is not BilledCost")
    total += Decimal(row["BilledCost"])
for fault in faults:
    print(fault)
print(f"{rows} rows, {total.normalize() if rows else 0} USD")
sys.exit(bool(faults))
