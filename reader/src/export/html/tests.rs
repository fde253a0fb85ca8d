use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{
    text::{bytes, count, duration},
    *,
};

/// The policy lets no other script run; after a change of `page.js` this says its new sum.
#[test]
fn the_policy_names_the_script() {
    let sum = Sha256::digest(format!("\n{SCRIPT}"));
    assert_eq!(SCRIPT_SHA256, BASE64_STANDARD.encode(sum));
}

#[test]
fn markup_has_no_way_out_of_text() {
    let hostile = "</script><script>\"'&\u{202e}\x1b";
    assert_eq!(
        Escaped(hostile).to_string(),
        "&lt;/script&gt;&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}"
    );
}

#[test]
fn data_cannot_end_its_element_and_reads_as_before() {
    let hostile = "a</script><!--<SCRIPT Vec<T> <&str as X>";
    let json = serde_json::to_string(hostile).unwrap();
    let safe = script_safe(&json);
    let lower = safe.to_ascii_lowercase();
    for way_out in ["</", "<!", "<script"] {
        assert!(!lower.contains(way_out), "{safe}");
    }
    assert!(safe.contains("Vec<T> <&str as X>"), "{safe}");
    assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
}

#[test]
fn figures_read_well() {
    assert_eq!(bytes(0.0), "0 B");
    assert_eq!(bytes(1_023.0), "1023 B");
    assert_eq!(bytes(1_536.0), "1.50 KiB");
    assert_eq!(bytes(-300.0 * 1_048_576.0), "-300 MiB");
    assert_eq!(count(1_234_567.0), "1,234,567");
    assert_eq!(count(-999.0), "-999");
    assert_eq!(count(-0.2), "0");
    assert_eq!(duration(59.94), "59.9 s");
    assert_eq!(duration(3_725.0), "1 h 2 min");
}
