package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// LoadTLS reads the certificates of a connection: ca, which signed the
// server's (empty: those the system trusts), and a client's own cert with its
// key (empty: none). It returns nil when no file is given.
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the CA of Redis: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the CA of Redis: %s holds no certificate in PEM form", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate for Redis (certificate %q, key %q): %w", cert, key, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// secure sets the certificates of a connection whose URL asks for TLS.
func (c Config) secure(t *target) {
	for _, at := range t.tls() {
		if c.TLS == nil || *at == nil {
			continue
		}
		name := (*at).ServerName
		*at = c.TLS.Clone()
		if (*at).ServerName == "" {
			(*at).ServerName = name
		}
	}
}

// tls returns where the target's TLS settings stand.
func (t *target) tls() []**tls.Config {
	var out []**tls.Config
	if t.single != nil {
		out = append(out, &t.single.TLSConfig)
	}
	if t.sentinel != nil {
		out = append(out, &t.sentinel.TLSConfig)
	}
	if t.cluster != nil {
		out = append(out, &t.cluster.TLSConfig)
	}
	return out
}

// tlsAdvice says what to do about a connection that failed in TLS; "" when it
// did not. Trying again does not help.
func tlsAdvice(err error) string {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &verify):
		return "the certificate of Redis is not to be trusted: ORCHIS_REDIS_CA must name the CA that signed it, and the URL the name it is for"
	case errors.As(err, &record):
		return "Redis does not speak TLS at this port: write redis:// in the URL"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "Redis refuses the connection: give it a client certificate that it trusts with ORCHIS_REDIS_CERT and ORCHIS_REDIS_KEY"
	}
	return ""
}
