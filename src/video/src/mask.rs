//! Secrets of URLs and pipelines, kept out of every message.

use std::ops::Range;

const STARS: &str = "***";

/// Names of query parameters whose values tell nothing.
const HARMLESS: [&str; 20] = [
    "bitrate",
    "camera",
    "channel",
    "codec",
    "flip",
    "fps",
    "framerate",
    "height",
    "id",
    "input",
    "profile",
    "quality",
    "resolution",
    "stream",
    "streamtype",
    "subtype",
    "transport",
    "transportmode",
    "videocodec",
    "width",
];

/// Last words of names, in a query or in a pipeline, whose values are secrets.
const SECRET: [&str; 15] = [
    "auth",
    "authorization",
    "credential",
    "credentials",
    "key",
    "pass",
    "passwd",
    "password",
    "psw",
    "pw",
    "pwd",
    "secret",
    "session",
    "sig",
    "token",
];

/// The text with `***` in place of passwords and tokens: the password before a URL's host, values
/// in a URL's query (but harmless ones such as `channel`), and values of names such as `password`,
/// `user-pw` or `token` anywhere.
///
/// The text may be a URL, a pipeline, or a message that holds such. It is rather masked too much
/// than too little.
///
/// ```
/// use tfjet_video::mask_secrets;
/// assert_eq!(
///     mask_secrets("rtsp://admin:12345@10.0.0.5:554/s?channel=1&token=abc"),
///     "rtsp://admin:***@10.0.0.5:554/s?channel=1&token=***"
/// );
/// ```
pub fn mask_secrets(url: &str) -> String {
    let mut masked = String::with_capacity(url.len());
    let mut done = 0;
    for range in secrets(url) {
        masked.push_str(url.get(done..range.start).unwrap_or_default());
        masked.push_str(STARS);
        done = range.end;
    }
    masked.push_str(url.get(done..).unwrap_or_default());
    masked
}

/// The secrets of a source's text, to be found again in messages that repeat them alone.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// A shorter secret would be found in words that have nothing to do with it.
    const SHORTEST: usize = 4;

    pub(crate) fn of(text: &str) -> Self {
        let mut found = Vec::new();
        for secret in secrets(text)
            .into_iter()
            .filter_map(|range| text.get(range))
        {
            let decoded = percent_decoded(secret);
            for secret in [secret.to_owned(), decoded] {
                if secret.len() >= Self::SHORTEST && !found.contains(&secret) {
                    found.push(secret);
                }
            }
        }
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(found)
    }

    /// Masks a message about the source.
    pub(crate) fn mask(&self, message: &str) -> String {
        let masked = mask_secrets(message);
        (self.0.iter()).fold(masked, |text, secret| text.replace(secret.as_str(), STARS))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Where the secrets are: in order, apart from each other.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (index, _) in text.match_indices("://") {
        let start = index + 3;
        let rest = text.get(start..).unwrap_or_default();
        let len = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let url = rest.get(..len).unwrap_or_default();
        // A password may hold any character, so the last `@` is taken for its end.
        let host = match (url.find(':'), url.rfind('@')) {
            (Some(colon), Some(at)) if colon < at => {
                found.push(start + colon + 1..start + at);
                at
            }
            _ => 0,
        };
        if let Some(mark) = url.get(host..).and_then(|url| url.find('?')) {
            let query = host + mark + 1;
            queries(
                url.get(query..).unwrap_or_default(),
                start + query,
                &mut found,
            );
        }
    }
    for (index, _) in text.match_indices('=') {
        let name = text.get(..index).unwrap_or_default().trim_end();
        if is_secret(name) {
            found.push(value(text, index + 1));
        }
    }
    merge(found)
}

/// The values of a query that begins at `start` of the text.
fn queries(query: &str, start: usize, found: &mut Vec<Range<usize>>) {
    let quote = |c| matches!(c, '"' | '\'' | '`');
    let end = query.find(quote).unwrap_or(query.len());
    let mut at = 0;
    for pair in query.get(..end).unwrap_or_default().split(['&', ';']) {
        let from = match pair.split_once('=') {
            Some((name, _)) if HARMLESS.contains(&name.to_ascii_lowercase().as_str()) => None,
            Some((name, _)) => Some(name.len() + 1),
            None => Some(0),
        };
        if let Some(from) = from
            && from < pair.len()
        {
            found.push(start + at + from..start + at + pair.len());
        }
        at += pair.len() + 1;
    }
}

/// Does the text end in a name of a secret?
fn is_secret(text: &str) -> bool {
    let begin = text
        .rfind(|c: char| !c.is_ascii_alphabetic())
        .map_or(0, |index| {
            index + text[index..].chars().next().map_or(1, char::len_utf8)
        });
    let word = text.get(begin..).unwrap_or_default().to_ascii_lowercase();
    SECRET.contains(&word.as_str()) || word.ends_with("password") || word.ends_with("token")
}

/// A value that begins at `start`: up to its closing quote, or to a space or a separator.
fn value(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let start = start + (rest.len() - rest.trim_start().len());
    let rest = rest.trim_start();
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| Some((quote, rest.strip_prefix(quote)?)));
    if let Some((quote, inner)) = quoted {
        let len = inner.find(quote).unwrap_or(inner.len());
        return start + 1..start + 1 + len;
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, '&' | ';' | '"' | '\'' | '`');
    start..start + rest.find(ends).unwrap_or(rest.len())
}

fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// A URL's text with its `%XX` put back into characters.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|&digit| (digit as char).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_masked() {
        for (text, expected) in [
            ("rtsp://host:554/stream", "rtsp://host:554/stream"),
            ("rtsp://user@host/s", "rtsp://user@host/s"),
            ("rtsp://user:pw@host:554/s", "rtsp://user:***@host:554/s"),
            ("rtsp://u:p@ss/w:rd?@host/s", "rtsp://u:***@host/s"),
            ("rtsp://u:it's@host/s", "rtsp://u:***@host/s"),
            ("rtsp://u:schlüssel@host/s", "rtsp://u:***@host/s"),
            (
                "rtsp://h/s?channel=1&token=abc&subtype=0",
                "rtsp://h/s?channel=1&token=***&subtype=0",
            ),
            (
                "rtsp://h/s?Channel=1&k=v;x=y",
                "rtsp://h/s?Channel=1&k=***;x=***",
            ),
            ("rtsp://h/s?abcdef", "rtsp://h/s?***"),
            (
                "rtsp://h/user=admin_password=tlJwpbo6_channel=1.sdp",
                "rtsp://h/user=admin_password=***",
            ),
            (
                "gst:rtspsrc location=rtsp://u:p@h/s user-pw=hunter2 ! x264enc key-int-max=30",
                "gst:rtspsrc location=rtsp://u:***@h/s user-pw=*** ! x264enc key-int-max=30",
            ),
            (
                "gst:souphttpsrc user-pw = \"a b\" location=\"http://h/?t=1\" ! jpegdec",
                "gst:souphttpsrc user-pw = \"***\" location=\"http://h/?t=***\" ! jpegdec",
            ),
            (
                "--source `http://u:p@h/x?sig=1`: no such kind",
                "--source `http://u:***@h/x?sig=***`: no such kind",
            ),
            (
                "from rtsp://a:b@c/ to rtsp://d:e@f/",
                "from rtsp://a:***@c/ to rtsp://d:***@f/",
            ),
            (
                "v4l2:///dev/video0?width=640",
                "v4l2:///dev/video0?width=640",
            ),
            (
                "videotestsrc:width=64,pattern=ball",
                "videotestsrc:width=64,pattern=ball",
            ),
            ("password=", "password="),
            ("://", "://"),
            ("é=token=", "é=token="),
        ] {
            assert_eq!(mask_secrets(text), expected);
            assert_eq!(mask_secrets(expected), expected, "masked twice");
        }
    }

    #[test]
    fn a_secret_that_stands_alone_is_found_again() {
        let secrets = Secrets::of("rtsp://u:p%40ssword@h/s?token=abcdef");
        for (message, expected) in [
            ("cannot log in with p@ssword", "cannot log in with ***"),
            ("p%40ssword is wrong", "*** is wrong"),
            ("no such token: abcdef", "no such token: ***"),
            ("nothing secret", "nothing secret"),
        ] {
            assert_eq!(secrets.mask(message), expected);
        }
        assert!(!format!("{secrets:?}").contains("abcdef"));
        assert_eq!(Secrets::of("rtsp://u:s@h").mask("status"), "status");
    }
}
