//! The difference of two texts, as `diff -u` shows it.

/// Number of unchanged lines shown before and after a change.
const CONTEXT: usize = 3;

/// Returns one hunk that covers all differing lines. Equal texts give an empty text.
pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let rest = old.len().min(new.len()) - head;
    let same = |(one, other): &(&&str, &&str)| one == other;
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count().min(rest);
    let from = head.saturating_sub(CONTEXT);
    let behind = tail.min(CONTEXT);
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let range = |start: usize, end: usize| {
        let length = end + behind - start;
        // The unified format gives an empty range the number of the line before it.
        format!("{},{length}", if length == 0 { start } else { start + 1 })
    };
    let mut text = format!("--- {name}\n+++ {name}\n@@ -{} +{} @@\n", range(from, old_end), range(from, new_end));
    let mut push = |mark: char, lines: Option<&[&str]>| {
        for line in lines.into_iter().flatten() {
            text.push(mark);
            text.push_str(line);
            text.push('\n');
        }
    };
    push(' ', old.get(from..head));
    push('-', old.get(head..old_end));
    push('+', new.get(head..new_end));
    push(' ', old.get(old_end..old_end + behind));
    text
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn a_change_is_shown_with_its_surroundings() {
        assert_eq!(unified("f", "a\n", "a\n"), "");
        assert_eq!(unified("f", "", "a\nb\n"), "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n");
        let shown = unified("f", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n");
        assert_eq!(shown, "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
        assert_eq!(unified("f", "a\na\n", "a\na\na\n"), "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a\n a\n+a\n");
    }
}
