"""The campaign uses the parts of the integration tests; importing this module first makes them importable."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
