//! Pod and settings in, patch and reasons out: the injector, pure.
