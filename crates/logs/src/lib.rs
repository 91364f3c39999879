//! The Cloud Logging query language, evaluated on exported entries.
