//! Splits a text into JSON documents: one, a list, one per line, or the data of server-sent events.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::model::error::{Error, Result};

/// Splits a text into its documents, in order.
pub(super) fn documents(text: &str) -> Result<Vec<Cow<'_, str>>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Error::invalid("there is no response: the input is empty"));
    }
    if text.starts_with(['{', '[']) { values(text) } else { events(text) }
}

fn values(text: &str) -> Result<Vec<Cow<'_, str>>> {
    let mut documents = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.map_err(|e| not_json(&e))?.get();
        if value.starts_with('[') {
            let chunks: Vec<&RawValue> = serde_json::from_str(value).map_err(|e| not_json(&e))?;
            documents.extend(chunks.into_iter().map(|chunk| Cow::Borrowed(chunk.get())));
        } else {
            documents.push(Cow::Borrowed(value));
        }
    }
    Ok(documents)
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::invalid(format!("the response is not JSON ({error}): give it whole and as the API sent it"))
}

/// Server-sent events as in the HTML standard, § 9.2: an event's data may span lines, and a blank line ends it.
fn events(text: &str) -> Result<Vec<Cow<'_, str>>> {
    let mut documents = Vec::new();
    let mut data: Vec<(usize, &str)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // The standard has no indentation, but copied text often does.
        let line = line.trim();
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match field {
            "" if line.is_empty() => flush(&mut data, &mut documents)?,
            "data" => data.push((number + 1, value.trim_start())),
            // An empty field is a comment.
            "" | "event" | "id" | "retry" => {}
            _ if line.starts_with('{') => data.push((number + 1, line)),
            _ => {
                return Err(Error::invalid(format!(
                    "line {} of the response is neither JSON nor a server-sent event: give it whole and as the API sent it",
                    number + 1
                )));
            }
        }
    }
    flush(&mut data, &mut documents)?;
    Ok(documents)
}

fn flush<'a>(data: &mut Vec<(usize, &'a str)>, documents: &mut Vec<Cow<'a, str>>) -> Result<()> {
    let lines = std::mem::take(data);
    let lines: Vec<_> = lines.into_iter().filter(|(_, line)| !line.is_empty() && *line != "[DONE]").collect();
    let Some((first, _)) = lines.first() else { return Ok(()) };
    let broken = lines.iter().find_map(|(_, line)| serde_json::from_str::<&RawValue>(line).err());
    let Some(mut error) = broken else {
        // Copied streams often lack the blank lines between their events.
        documents.extend(lines.iter().map(|(_, line)| Cow::Borrowed(*line)));
        return Ok(());
    };
    if lines.len() > 1 {
        let joined = lines.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        match serde_json::from_str::<&RawValue>(&joined) {
            Ok(_) => {
                documents.push(Cow::Owned(joined));
                return Ok(());
            }
            Err(e) => error = e,
        }
    }
    Err(Error::invalid(format!(
        "the event at line {first} of the stream is not JSON ({error}): give the stream whole and as the API sent it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        documents(text).unwrap().into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn every_kind_of_stream_is_split() {
        let two = ["{\"a\": 1}", "{\"b\":2}"];
        assert_eq!(of("\u{feff} {\"a\": 1}\n"), two[..1]);
        assert_eq!(of("{\"a\": 1}\r\n\r\n{\"b\":2}\r\n"), two);
        assert_eq!(of("[{\"a\": 1}\n,\r\n{\"b\":2}]"), two);
        assert_eq!(of(": hi\nevent: x\nid: 1\nretry: 3\ndata: {\"a\": 1}\n\ndata:{\"b\":2}\n\ndata: [DONE]\n"), two);
        assert_eq!(of("data: {\"a\": 1}\ndata: {\"b\":2}\ndata: [DONE]"), two);
        assert_eq!(of("data: {\"a\":\ndata: 1}\n\ndata: {\"b\":2}"), ["{\"a\":\n1}", "{\"b\":2}"]);
    }

    #[test]
    fn invalid_json_names_its_place() {
        for (text, says) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("{\"a\":", "not JSON (EOF"),
            ("{\"a\":1} x", "not JSON"),
            ("[{},", "not JSON"),
            ("event: x\ndata: {\"a\":1}\n\ndata: {\"b\"", "line 4"),
            ("hello", "line 1"),
        ] {
            let error = documents(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
