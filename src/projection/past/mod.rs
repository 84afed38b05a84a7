//! The past: what every earlier position of the ledger counted.
//!
//! Each 16,384 positions of the log are a chapter. When a chapter is full, the append that fills it stores how the events
//! of the chapter changed the rows of the rollups by model and by project. A row as of a position is the sum of its changes in the
//! chapters before that position, and of the changes of the chapter that the position is in, which come from its blocks.
//! The two finer rollups would double the size of their rows here. Their changes come from the blocks of the chapters that touch
//! the day.
//!
//! Days that no event behind the position touches are as they are in the present. They are read from the present rows, so
//! a question about the past of a ledger that grows in the order of time costs about as much as one about the present.

mod accounts;
mod changes;
mod chapters;
mod days;
mod past_view;
mod rollups;
mod session_starts;
mod tables;
mod until;
mod uses;

pub(super) use chapters::write_full;
pub(crate) use chapters::{CHAPTER, build, chapter_of, differences, lacks_chapters, rewrite};
pub(crate) use past_view::PastView;
