package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

// What a webhook does to pods as vault-k8s does it: vault-agent-init is appended to the init
// containers of pods that ask for it. Its configuration is named as vault-k8s's is, so that API
// servers call it after Istio's injector.

type review struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Request    *request       `json:"request,omitempty"`
	Response   map[string]any `json:"response,omitempty"`
}

type request struct {
	UID    string `json:"uid"`
	Object struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			InitContainers []struct {
				Name string `json:"name"`
			} `json:"initContainers"`
		} `json:"spec"`
	} `json:"object"`
}

type change struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

const asks = "vault.hashicorp.com/agent-inject"

func changes(asked *request, image, address string) []change {
	if asked.Object.Metadata.Annotations[asks] != "true" {
		return nil
	}
	for _, container := range asked.Object.Spec.InitContainers {
		if container.Name == "vault-agent-init" {
			return nil
		}
	}
	agent := map[string]any{
		"name": "vault-agent-init", "image": image, "imagePullPolicy": "IfNotPresent",
		"args": []string{"agent"},
		"env":  []map[string]string{{"name": "VAULT_ADDR", "value": address}},
	}
	if len(asked.Object.Spec.InitContainers) == 0 {
		return []change{{"add", "/spec/initContainers", []any{agent}}}
	}
	return []change{{"add", "/spec/initContainers/-", agent}}
}

func webhook() {
	image, address := os.Getenv("AGENT_IMAGE"), os.Getenv("VAULT_ADDR")
	http.HandleFunc("/mutate", func(w http.ResponseWriter, r *http.Request) {
		var asked review
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Request == nil {
			http.Error(w, "not a review", http.StatusBadRequest)
			return
		}
		answer := map[string]any{"uid": asked.Request.UID, "allowed": true}
		if all := changes(asked.Request, image, address); all != nil {
			patch, _ := json.Marshal(all)
			answer["patchType"], answer["patch"] = "JSONPatch", patch
		}
		asked.Request, asked.Response = nil, answer
		_ = json.NewEncoder(w).Encode(asked)
	})
	log.Fatal(http.ListenAndServeTLS(":8443", "/tls/tls.crt", "/tls/tls.key", nil))
}
