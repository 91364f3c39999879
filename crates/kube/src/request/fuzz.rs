//! What holds of a refusal, whatever the server sends.

use super::{Trouble, refused};

/// A refusal has the code of its head, and is told in one line.
pub fn refusal(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let code = 400 + u16::from(*first) % 200;
    let response = http::Response::builder().status(code).header("retry-after", code.to_string());
    let Ok(response) = response.body(()) else { return };
    let (trouble, after) = refused(&response.into_parts().0, body);
    assert_eq!(trouble.code(), Some(code));
    assert_eq!(after.map(|after| after.as_secs()), Some(u64::from(code)));
    let told = trouble.to_string();
    assert!(!told.is_empty() && !told.contains('\n'), "{told:?}");
    let Trouble::Refused(refusal) = trouble else { panic!("a refusal") };
    assert!(refusal.causes().len() <= body.len());
    assert!(refusal.continued().is_none_or(|token| !token.is_empty()));
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_refusal_is_told_in_a_line() {
        super::refusal(
            b"\x03{\"message\":\"no\\nreally\",\"details\":{\"causes\":[{\"field\":\"x\"}]}}",
        );
        super::refusal(b"\x03<html>\nsorry");
        super::refusal(b"\x01");
    }
}
