"""Packs a folder with Python's tarfile: pytar.py FORMAT FOLDER > tar (FORMAT: USTAR, GNU or PAX)."""
import sys, tarfile

out = tarfile.open(
    fileobj=sys.stdout.buffer, mode="w|", format=getattr(tarfile, sys.argv[1] + "_FORMAT")
)
out.add(sys.argv[2], arcname="")
out.close()
