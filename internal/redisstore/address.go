package redisstore

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// forms are the URLs that are understood.
const forms = "redis://host:6379/0, rediss:// (TLS), unix:///path/redis.sock, redis+sentinel://host1:26379,host2:26379/master or redis+cluster://host1:6379,host2:6379"

// target is what a URL leads to; one of its fields is set.
type target struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions
}

// parseURL reads a URL. Its errors never show a password.
func parseURL(raw string) (target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return target{}, fmt.Errorf("it has no scheme: want %s", forms)
	}
	scheme = strings.ToLower(scheme)
	base, kind, _ := strings.Cut(strings.Replace(scheme, "-", "+", 1), "+")
	switch {
	case kind == "" && base == "unix", kind == "" && base == "redis", kind == "" && base == "rediss":
		return parseSingle(raw, rest)
	case base != "redis" && base != "rediss" || kind != "sentinel" && kind != "cluster":
		return target{}, fmt.Errorf("the scheme %q is not known: want %s", scheme, forms)
	}
	several, err := parseHosts(rest, map[string]string{"sentinel": "26379", "cluster": "6379"}[kind])
	if err != nil {
		return target{}, err
	}
	if kind == "sentinel" {
		return several.sentinel(base)
	}
	return several.cluster(base)
}

func parseSingle(raw, rest string) (target, error) {
	authority, more := cutAuthority(rest)
	if strings.Contains(authority[strings.LastIndex(authority, "@")+1:], ",") {
		return target{}, errors.New("it names several hosts: write redis+cluster:// for a Cluster, or redis+sentinel://.../master for Sentinels")
	}
	if _, query, _ := strings.Cut(more, "?"); strings.Contains("&"+query, "&addr=") || strings.Contains("&"+query, "&master_name=") {
		return target{}, errors.New("it names several hosts by options: write redis+cluster://host1,host2 or redis+sentinel://host1,host2/master")
	}
	o, err := redis.ParseURL(raw)
	var bad *url.Error
	if errors.As(err, &bad) { // may show a part of the password
		return target{}, errEncode
	}
	if err != nil {
		return target{}, plain(err)
	}
	return target{single: o}, nil
}

var errEncode = errors.New("it cannot be read: in user and password write % as %25, / as %2F, ? as %3F, # as %23, @ as %40 and : as %3A; a port is a number")

// plain drops the client's name from its errors.
func plain(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "redis: ")) }

// cutAuthority cuts user, password and hosts off what follows the scheme.
func cutAuthority(rest string) (authority, more string) {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return rest[:i], rest[i:]
	}
	return rest, ""
}

// hosts is a URL with several hosts.
type hosts struct {
	user, password string
	addrs          []string
	path           []string
	query          url.Values
}

func parseHosts(rest, port string) (h hosts, err error) {
	authority, more := cutAuthority(rest)
	if strings.Contains(more, "@") {
		return h, errEncode
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		var errs [2]error
		h.user, errs[0] = url.PathUnescape(user)
		h.password, errs[1] = url.PathUnescape(password)
		if errs[0] != nil || errs[1] != nil || strings.Contains(password, ":") || strings.Contains(user+password, "@") {
			return h, errEncode
		}
		authority = authority[i+1:]
	}
	for host := range strings.SplitSeq(authority, ",") {
		addr, err := parseHost(host, port)
		if err != nil {
			return h, err
		}
		h.addrs = append(h.addrs, addr)
	}
	path, query, _ := strings.Cut(more, "?")
	if h.query, err = url.ParseQuery(query); err != nil {
		return h, errors.New("its options cannot be read: want name=value with & between")
	}
	for name, advice := range map[string]string{
		"addr": "write all hosts before the path, with commas between", "master_name": "write the master as the path",
		"username": "write user:password@ before the hosts", "password": "write user:password@ before the hosts",
		"db":        "write it as the path, after the master",
		"read_only": onMasters, "replica_only": onMasters, "route_by_latency": onMasters, "route_randomly": onMasters,
		"route_by_latency_tolerance": onMasters, "use_disconnected_replicas": onMasters,
	} {
		if h.query.Has(name) {
			return h, fmt.Errorf("the option %s is not possible: %s", name, advice)
		}
	}
	if path = strings.Trim(path, "/"); path != "" {
		h.path = strings.Split(path, "/")
	}
	return h, nil
}

const onMasters = "Orchis reads what was just written, so it asks masters only"

func parseHost(host, port string) (string, error) {
	name := host
	if i := strings.LastIndex(host, ":"); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("the port of host %q is no number from 1 to 65535", host)
	}
	name, bracketed := strings.CutPrefix(name, "[")
	name, closed := strings.CutSuffix(name, "]")
	if name == "" || bracketed != closed || !bracketed && strings.Contains(name, ":") {
		return "", fmt.Errorf("the host %q is not understood: want host1:%s,host2:%s; an IPv6 address stands in [ ]", host, port, port)
	}
	return net.JoinHostPort(name, port), nil
}

// seed is the URL by which the client library reads hosts and options.
func (h *hosts) seed(scheme string) string {
	q := maps.Clone(h.query)
	q["addr"] = h.addrs[1:]
	u := url.URL{Scheme: scheme, Host: h.addrs[0], RawQuery: q.Encode()}
	return u.String()
}

func (h *hosts) sentinel(scheme string) (target, error) {
	if len(h.path) == 0 || len(h.path) > 2 {
		return target{}, errors.New("it does not name the master that the Sentinels watch: want redis+sentinel://host1:26379,host2:26379/master, or .../master/1 for database 1")
	}
	db := 0
	if len(h.path) == 2 {
		var err error
		if db, err = strconv.Atoi(h.path[1]); err != nil || db < 0 {
			return target{}, fmt.Errorf("the database %q is no number", h.path[1])
		}
	}
	user, password := h.query.Get("sentinel_username"), h.query.Get("sentinel_password")
	h.query.Del("sentinel_username")
	h.query.Del("sentinel_password")
	o, err := redis.ParseFailoverURL(h.seed(scheme))
	if err != nil {
		return target{}, plain(err)
	}
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // each host is known by its own name
	}
	o.MasterName, o.DB = h.path[0], db
	o.Username, o.Password = h.user, h.password
	o.SentinelUsername, o.SentinelPassword = user, password
	return target{sentinel: o}, nil
}

func (h *hosts) cluster(scheme string) (target, error) {
	if len(h.path) > 1 || len(h.path) == 1 && h.path[0] != "0" {
		return target{}, fmt.Errorf("a Cluster has database 0 only: leave /%s out", strings.Join(h.path, "/"))
	}
	o, err := redis.ParseClusterURL(h.seed(scheme))
	if err != nil {
		return target{}, plain(err)
	}
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // each node is known by its own name
	}
	o.Username, o.Password = h.user, h.password
	return target{cluster: o}, nil
}

// Masked returns a URL without its passwords.
func Masked(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return "(unreadable URL)"
	}
	rest, query, asks := strings.Cut(rest, "?")
	// A password that should have been encoded may hold any of /, @ and ?.
	if i := strings.LastIndex(query, "@"); i >= 0 {
		var host string
		rest += "?" + query[:i]
		host, query, asks = strings.Cut(query[i:], "?")
		rest += host
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		if user, _, has := strings.Cut(rest[:i], ":"); has {
			rest = user + ":xxxxx" + rest[i:]
		}
	}
	if !asks {
		return scheme + "://" + rest
	}
	options := strings.Split(query, "&")
	for i, o := range options {
		if name, _, _ := strings.Cut(o, "="); strings.Contains(strings.ToLower(name), "pass") {
			options[i] = name + "=xxxxx"
		}
	}
	return scheme + "://" + rest + "?" + strings.Join(options, "&")
}
