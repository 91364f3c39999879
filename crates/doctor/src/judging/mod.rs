//! What a rule sees (a pod, a workload, the mesh, the texts it listens for) and what it says
//! (faults with their remedies). Knows no rule, and no fault by name.

pub(crate) mod fault;
pub(crate) mod home;
pub(crate) mod ignore;
pub(crate) mod mesh;
pub(crate) mod meta;
pub(crate) mod outcome;
pub(crate) mod pod;
pub(crate) mod recognised;
pub(crate) mod remedy;
pub(crate) mod rule;
pub(crate) mod subject;
pub(crate) mod texts;
pub(crate) mod workload;
