//! Tests of the manifest's reader.

use super::super::manifest::dependencies;

#[test]
fn finds_every_way_to_write_a_dependency() {
    let manifest = "\
[package]
name = \"x\"
[dependencies]
a.workspace = true
b = \"1\"
c = { package = \"real-c\", version = \"1\" }
# d = \"1\"
[dependencies.e]
version = \"1\"
[dependencies.f]
package = \"real-f\"
[target.'cfg(unix)'.dependencies]
g.workspace = true
[target.\"cfg(any(windows, target_os = 'x.y'))\".build-dependencies.h]
version = \"1\"
[dev-dependencies]
\"i\" = \"1\"
[features]
j = []
[workspace.dependencies]
k = \"1\"
";
    let found: Vec<_> = dependencies(manifest)
        .into_iter()
        .map(|dependency| format!("{} {} {}", dependency.line, dependency.package, dependency.dev))
        .collect();
    assert_eq!(
        found,
        [
            "4 a false",
            "5 b false",
            "6 real-c false",
            "8 e false",
            "10 real-f false",
            "13 g false",
            "14 h false",
            "17 i true"
        ]
    );
}
