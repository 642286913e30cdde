//! Nothing of a secret is left, and everything else stays where it was.

use super::*;

fn token(text: &str) -> String {
    masked(text, &["token".into()])
}

#[test]
#[cfg(feature = "hub")]
fn the_schema_tells_what_is_secret() {
    assert_eq!(keys(&crate::config::schema()), ["token", "secret", "authorization"]);
}

#[test]
fn values_become_stars_of_the_same_length() {
    for (text, shown) in [
        ("token = \"abc\"\nx = 1", "token = *****\nx = 1"),
        ("admin = { token = 'abc', lisen = \"x\" }", "admin = { token = *****, lisen = \"x\" }"),
        ("tokne=abc # no quotes", "tokne=***************"),
        ("admin.\"token\" = \"a\\\"b\" # after", "admin.\"token\" = ****** # after"),
        ("token = \"never ends\nname = \"x\"", "token = ***********\nname = \"x\""),
        ("token = \"\"\"a\nb\"\"\"\nx = 2", "token = ****\n****\nx = 2"),
        ("token = \"é=token=\"", "token = ***********"),
        ("token = [\n\"a]\", # ]\n'b']\nx = 2", "token = *\n*********\n****\nx = 2"),
        ("token = [\"never\nends", "token = *******\n****"),
        ("admin_token = \"abc\"\npassword='abc'", "admin_token = *****\npassword=*****"),
        ("password_file = \"abc\"", "password_file = \"abc\""),
        ("listen = \"token\"\nname = 'x'", "listen = \"token\"\nname = 'x'"),
        ("token =", "token ="),
        ("=", "="),
    ] {
        assert_eq!(token(text), shown);
        assert_eq!(token(text).len(), text.len());
    }
}
