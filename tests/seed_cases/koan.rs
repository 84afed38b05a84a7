use super::{Case, Checked, unknown};

pub fn check(case: &Case, _all: &[Case]) -> Checked {
    unknown(case)
}
