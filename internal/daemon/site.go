package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/web"
	"github.com/orchis-run/orchis/pkg/client"
)

var errOpenToAll = errors.New("ORCHIS_LISTEN can be reached from other machines and ORCHIS_API_TOKEN is not set: anybody could run anything. Set a token (openssl rand -hex 32), listen on 127.0.0.1, or serve health checks only with ORCHIS_API=off")

// Site is what an orchestrator serves: dashboard, API, health checks and
// metrics. The address is the one it is served at. Close it at the end.
func Site(ctx context.Context, s config.Settings, address string, ready func(context.Context) []string, metrics http.Handler, log *zap.Logger) (site http.Handler, end func(), err error) {
	if s.API == "off" || address == "" {
		return api.Health(ready, Version(), metrics), func() {}, nil
	}
	local := api.Loopback(address)
	if !local && s.APIToken == "" {
		return nil, nil, errOpenToAll
	}
	certificates, err := redisstore.LoadTLS(s.RedisCA, s.RedisCert, s.RedisKey)
	if err != nil {
		return nil, nil, err
	}
	c, err := client.Open(ctx, client.Config{URL: s.RedisURL, TLS: certificates, Prefix: s.Prefix, Partitions: s.Partitions, MaxDefinition: s.LargestDefinition()})
	if err != nil {
		return nil, nil, err
	}
	hosts := s.Hosts
	if len(hosts) == 0 && s.APIToken == "" { // nothing else keeps other sites' pages out
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	server := api.New(api.Config{
		Client: c, Definitions: s.Definitions(), Token: s.APIToken, ReadOnly: s.API == "read", BasePath: s.BasePath,
		Hosts: hosts, Ready: ready, Version: Version(), Log: log, Metrics: metrics, Settings: InEffect(&s),
	})
	mux := http.NewServeMux()
	server.Register(mux)
	web.Register(mux, server)
	return mux, func() { _ = c.Close() }, nil
}

// Shown is an address as a person opens it.
func Shown(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "" || net.ParseIP(host) != nil && net.ParseIP(host).IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return address
}
