//! Outer headers: the templates that encapsulation copies, and the decision on what arrives from
//! the underlay.

mod decapsulate;
mod template;

pub use decapsulate::{Inner, Outer, Received, Vtep, decapsulate};
pub use template::{OuterHeader, TEMPLATE_LENGTH, Template};
