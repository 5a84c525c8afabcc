//! Proof that each rule can fail: one breach at a time, planted into `saga.proto`.

use prost_types::{EnumDescriptorProto, FileDescriptorProto, MethodDescriptorProto};

fn check(plant: impl FnOnce(&mut FileDescriptorProto), expected: &str) {
    let mut files = crate::files();
    let saga = files
        .iter_mut()
        .find(|file| file.name() == "amends/v1/saga.proto");
    plant(saga.expect("saga.proto is one of the files"));
    let breaches = super::lint(&files);
    assert!(
        breaches.iter().any(|breach| breach.contains(expected)),
        "{expected:?} is not among {breaches:?}"
    );
}

fn check_enum(plant: impl FnOnce(&mut EnumDescriptorProto), expected: &str) {
    check(|file| plant(&mut file.enum_type[0]), expected);
}

/// The method is `StartSaga`.
fn check_method(plant: impl FnOnce(&mut MethodDescriptorProto), expected: &str) {
    check(|file| plant(&mut file.service[0].method[0]), expected);
}

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn files() {
    check(
        |file| file.package = name("amends.v2"),
        "is not that of its folder",
    );
    check(|file| file.package = name("amends"), "ends in no version");
    check(
        |file| file.name = name("amends/v1/Saga.proto"),
        "the file's name",
    );
    check(|file| file.syntax = None, "says no syntax");
    check(
        |file| file.public_dependency = vec![0],
        "public or weak import",
    );
    for import in ["google/protobuf/any.proto", "amends/v1/admin.proto"] {
        check(
            |file| file.dependency.push(import.to_owned()),
            &format!("{import} is not used"),
        );
    }
}

#[test]
fn messages() {
    check(
        |file| file.message_type[0].name = name("step"),
        "step is not PascalCase",
    );
    check(
        |file| file.message_type[0].field[0].name = name("aB"),
        "aB is not lower_snake_case",
    );
    check(
        |file| file.source_code_info = None,
        "has no comment above it",
    );
}

#[test]
fn enums() {
    check_enum(|kind| kind.name = name("kind"), "kind is not PascalCase");
    check_enum(
        |kind| kind.value[0].number = Some(9),
        "does not begin with its zero value",
    );
    check_enum(
        |kind| kind.value[0].name = name("STEP_KIND_NONE"),
        "STEP_KIND_UNSPECIFIED",
    );
    check_enum(
        |kind| kind.value[1].name = name("PIVOT"),
        "does not begin with STEP_KIND_",
    );
    check_enum(
        |kind| kind.options.get_or_insert_default().allow_alias = Some(true),
        "allows aliases",
    );
}

#[test]
fn services() {
    check(
        |file| file.service[0].name = name("Saga"),
        "is not PascalCase ending in Service",
    );
    check_method(
        |method| method.name = name("start"),
        "start is not PascalCase",
    );
    check_method(
        |method| method.name = name("Begin"),
        "does not take BeginRequest",
    );
    let other = || name(".amends.v1.GetDefinitionResponse");
    check_method(
        |method| method.output_type = other(),
        "does not return StartSagaResponse",
    );
    check_method(
        |method| method.output_type = other(),
        "is used by several methods",
    );
}
