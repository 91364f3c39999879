//! Names and types that Sunup's users see: ports, labels, annotations, the report.
