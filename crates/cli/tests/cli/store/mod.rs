//! Log stores that are asked over the network: the vendor's procedure as one command.

mod auto;
mod cloud;
mod loki;
mod project;
