"""Prints the rows of a Delta table of dlt's and the sum of their numbers. OUT."""

import sys

import pyarrow.compute as pc
from deltalake import DeltaTable

column = DeltaTable(f"{sys.argv[1]}/files/data/merge").to_pyarrow_table(columns=["number"])["number"]
print(len(column), pc.sum(column))
