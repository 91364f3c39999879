//! Facts about pods, taken from what people already have, and their timelines.
