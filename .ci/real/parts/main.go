// The applications of the walk through a cluster: what is asked, what asks when it starts, Vault's
// agent, and a webhook that appends it.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

var client = http.Client{Timeout: 20 * time.Second}

func get(url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// Asks for its settings first thing, and ends where it can't have them.
func app(arguments []string) {
	flags := flag.NewFlagSet("app", flag.ExitOnError)
	url := flags.String("url", "", "where the settings are")
	listen := flags.String("listen", ":8080", "where it answers")
	_ = flags.Parse(arguments)
	if *url != "" {
		if err := get(*url); err != nil {
			log.Fatalf("could not load settings: %v", err)
		}
		log.Print("settings loaded")
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// As the agent does: it asks for its token until it has it.
func agent() {
	for wait := time.Second; ; wait = min(wait*2, time.Minute) {
		err := get(os.Getenv("VAULT_ADDR") + "/v1/auth/kubernetes/login")
		if err == nil {
			return
		}
		log.Printf("error authenticating: %v, retrying in %v", err, wait)
		time.Sleep(wait)
	}
}

func main() {
	switch os.Args[1] {
	case "webhook":
		webhook()
	case "agent":
		agent()
	default:
		app(os.Args[1:])
	}
}
