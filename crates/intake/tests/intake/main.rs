//! Every format that people hand over, read from files as they are written.

mod archives;
mod bombs;
mod broken;
mod common;
mod exports;
mod forms;
mod hostile;
mod kubectl;
mod logs;
mod manifests;
mod pasted;
mod random;
mod scale;
mod services;
mod several;
mod tables;
