//! Pure parsers of foreign text: usage objects, quota feeds, refusals and prices.

#[cfg(feature = "cli")]
pub mod exhaustion;
pub mod normalise;
pub mod price;
pub mod quota;
#[cfg(feature = "cli")]
pub(crate) mod statement;
