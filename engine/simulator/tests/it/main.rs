//! The simulator run as a test: a few seeds, and that it can be trusted.
