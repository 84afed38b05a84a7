"""Checks a FOCUS export against a list of columns, with Python's standard library: focus.py COLUMNS.csv EXPORT.csv"""

import csv
import sys
from datetime import datetime
from decimal import Decimal

columns = {row["column"]: row for row in csv.DictReader(open(sys.argv[1], newline=""))}
export = csv.DictReader(open(sys.argv[2], newline=""))
faults = [f"column {name} is missing" for name in columns if name not in (export.fieldnames or [])]
faults += [
    f"column {name} is neither of the specification nor prefixed by x_"
    for name in export.fieldnames or []
    if name not in columns and not name.startswith("x_")
]
rows = total = 0
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
