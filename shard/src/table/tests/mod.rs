//! Tables on a simulated disk against ordered maps of the same entries.

mod damage;
pub(crate) mod fixture;
mod golden;
mod model;
mod size;
