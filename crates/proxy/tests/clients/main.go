// A Go application that connects once, early, and works: `client redis|postgres HOST:PORT`. Prints
// "ok", or "failed" and why. `client http2 HOST:PORT` is a server of plain HTTP/2 instead.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	_ "github.com/lib/pq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

const patience = 20 * time.Second

func main() {
	work := map[string]func(string) error{
		"redis": redisWork, "postgres": postgresWork, "http2": http2Serve,
	}[os.Args[1]]
	if err := work(os.Args[2]); err != nil {
		fmt.Println("failed", err)
		return
	}
	fmt.Println("ok")
}

func redisWork(address string) error {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: address, DialTimeout: patience, MaxRetries: -1})
	defer client.Close()
	big := bytes.Repeat([]byte("sunup"), 600_000)
	if err := client.Set(ctx, "go", big, 0).Err(); err != nil {
		return err
	}
	back, err := client.Get(ctx, "go").Bytes()
	if err != nil || !bytes.Equal(back, big) {
		return fmt.Errorf("%d bytes came back, %v", len(back), err)
	}
	pipe := client.Pipeline()
	for range [2000]struct{}{} {
		pipe.Incr(ctx, "go-count")
	}
	answers, err := pipe.Exec(ctx)
	if err != nil || len(answers) != 2000 {
		return fmt.Errorf("%d answers, %v", len(answers), err)
	}
	return nil
}

func postgresWork(address string) error {
	host, port, _ := strings.Cut(address, ":")
	at := fmt.Sprintf("host=%s port=%s user=sunup dbname=postgres sslmode=disable", host, port)
	db, err := sql.Open("postgres", at+" connect_timeout=20")
	if err != nil {
		return err
	}
	defer db.Close()
	// The first one is the early one; then many at once.
	if err := db.Ping(); err != nil {
		return err
	}
	db.SetMaxOpenConns(20)
	var wait sync.WaitGroup
	failed := make(chan error, 200)
	for n := 0; n < 200; n++ {
		n := n
		wait.Add(1)
		go func() {
			defer wait.Done()
			var back int
			if err := db.QueryRow("select $1::int * 2", n).Scan(&back); err != nil || back != 2*n {
				failed <- fmt.Errorf("%d for %d, %v", back, n, err)
			}
		}()
	}
	wait.Wait()
	close(failed)
	return <-failed
}

func http2Serve(address string) error {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, "ok")
	})
	return http.ListenAndServe(address, h2c.NewHandler(answer, &http2.Server{}))
}
