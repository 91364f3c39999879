// The applications of the walk through a cluster: what is asked, what asks when it starts, Vault's
// agent, and a webhook that appends it.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"time"
)

var (
	began  = time.Now()
	client = http.Client{Timeout: 20 * time.Second}
	// When the first connection was begun, after the program was.
	connected time.Duration
)

func get(url string) error {
	asked, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	first := func(_, _ string) { connected = time.Since(began) }
	trace := &httptrace.ClientTrace{ConnectStart: first}
	answer, err := client.Do(asked.WithContext(httptrace.WithClientTrace(asked.Context(), trace)))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// What the kernel has counted in this pod's network of TCP.
func counted(name string) string {
	text, _ := os.ReadFile("/proc/net/snmp")
	var names []string
	for line := range strings.Lines(string(text)) {
		words, found := strings.CutPrefix(line, "Tcp: ")
		if !found {
			continue
		}
		values := strings.Fields(words)
		for i, known := range names {
			if known == name && i < len(values) {
				return values[i]
			}
		}
		names = values
	}
	return "?"
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
		log.Printf("settings loaded: connect %.1f ms after its start, answer %.1f ms; "+
			"of the pod: AttemptFails %s, RetransSegs %s",
			float64(connected.Microseconds())/1000, float64(time.Since(began).Microseconds())/1000,
			counted("AttemptFails"), counted("RetransSegs"))
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
