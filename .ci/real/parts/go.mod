module sunup.dev/ci/parts

go 1.24
