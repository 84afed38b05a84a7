//! A report as a Markdown table, for comments of pull requests and for issues.

use std::io::Write;

use crate::present::failure::Failure;
use crate::present::money;
use crate::present::output::{EscapedText, grouped};
use crate::report::{ReportKey, ReportTable};
use crate::usage::Usage;

/// Characters that mean something in Markdown or HTML.
const MARKS: [char; 13] = ['\\', '`', '*', '_', '{', '}', '[', ']', '<', '>', '|', '#', '@'];

/// A text that Markdown shows as it is. Foreign names can neither break the table nor mention a person.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for character in EscapedText(text).to_string().chars() {
        match character {
            // A mention is no mention with its mark as an entity, and neither is a tag.
            '@' => shown.push_str("&#64;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '\n' | '\r' => shown.push(' '),
            _ => {
                if MARKS.contains(&character) {
                    shown.push('\\');
                }
                shown.push(character);
            }
        }
    }
    shown
}

fn line(names: &[String], usage: &Usage) -> String {
    let numbers = [grouped(usage.requests), grouped(usage.tokens.total()), escaped(&money::cost(&usage.cost))];
    let cells: Vec<String> = names.iter().cloned().chain(numbers).collect();
    format!("| {} |", cells.join(" | "))
}

/// Writes the rows and the total.
pub(super) fn write(table: &ReportTable, out: &mut dyn Write) -> Result<(), Failure> {
    let names: Vec<String> = table.keys.iter().map(|key| escaped(&ReportKey::name(key))).collect();
    let head: Vec<String> = names.iter().cloned().chain(["requests", "tokens", "cost"].map(str::to_owned)).collect();
    writeln!(out, "| {} |", head.join(" | "))?;
    writeln!(out, "|{}{}", " --- |".repeat(names.len()), " ---: |".repeat(3))?;
    for row in &table.rows {
        let names: Vec<String> = row.keys.iter().map(|key| escaped(key.as_deref().unwrap_or("-"))).collect();
        writeln!(out, "{}", line(&names, &row.usage))?;
    }
    let mut names = vec![String::new(); names.len()];
    if let Some(first) = names.first_mut() {
        "**total**".clone_into(first);
    }
    Ok(writeln!(out, "{}", line(&names, &table.total))?)
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn names_cannot_break_the_table_or_mention_a_user() {
        assert_eq!(escaped("a|b_<img>@me\n"), "a\\|b\\_&lt;img&gt;&#64;me ");
    }
}
