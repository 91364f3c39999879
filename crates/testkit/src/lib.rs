//! Fixtures, goldens and outside parts for Sunup's own tests.
