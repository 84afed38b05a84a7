//! Formats JSON over several lines and preserves names, numbers and order.

/// Indents JSON that is known to be valid.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().filter(|char| !matches!(char, '\n' | '\r')).peekable();
    while let Some(char) = chars.next() {
        if text {
            text = escaped || char != '"';
            escaped = !escaped && char == '\\';
            out.push(char);
            continue;
        }
        match char {
            '"' => {
                text = true;
                out.push(char);
            }
            '{' | '[' => {
                out.push(char);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = chars.next_if(|char| matches!(char, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if char.is_ascii_whitespace() => {}
            _ => out.push(char),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn only_white_space_changes() {
        let json = r#"{"b":[1.50,{}, [ ],"a: \"{,\\"],"a":{"x":null}}"#;
        let got = pretty(json);
        assert_eq!(
            got,
            "{\n  \"b\": [\n    1.50,\n    {},\n    [],\n    \"a: \\\"{,\\\\\"\n  ],\n  \"a\": {\n    \"x\": null\n  }\n}"
        );
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeeze(&got), squeeze(json));
    }
}
