use super::{Case, Checked, unknown};

pub fn check(case: &Case) -> Checked {
    unknown(case)
}
