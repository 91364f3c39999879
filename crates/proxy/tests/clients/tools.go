//go:build tools

package main

// Built beside the client by .ci/clients.
import _ "github.com/summerwind/h2spec/cmd/h2spec"
