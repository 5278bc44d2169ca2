package server_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/orchis-run/orchis/pkg/server"
)

// docs/api.md shows the body of this function.
func serve(ctx context.Context) (err error) {
	orchis, err := server.New(ctx, server.Config{
		URL: "redis://localhost:6379", BasePath: "/orchis", Token: os.Getenv("ORCHIS_API_TOKEN"), Project: ".",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, orchis.Close()) }()
	mux := http.NewServeMux()
	mux.Handle("/orchis/", orchis)
	mux.HandleFunc("/", http.NotFound) // what else the program serves
	web := &http.Server{Addr: "127.0.0.1:8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return web.ListenAndServe()
}

func ExampleNew() {
	_ = serve
}
