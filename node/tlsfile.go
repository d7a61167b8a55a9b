package node

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// TLSFiles are what one side of TLS distribution needs, in PEM files as OTP's ssl has them.
type TLSFiles struct {
	Cert string // our certificate, and what leads from it to the authority; "": we have none
	Key  string // its private key; "": it is in Cert
	CA   string // the certificates of the authorities whose nodes are trusted; "": the system's
}

// ErrTLSFile says that a file of [TLSFiles], or an optfile, cannot be used.
var ErrTLSFile = errors.New("TLS file")

// maxTLSFile bounds what is read: a system's whole bundle of authorities has 0.3 MB.
const maxTLSFile = 4 << 20

// Config reads the files. The result is good for both roles, [Peer] and [ListenConfig], in both of which the other side
// has to have a certificate of the authority.
func (f TLSFiles) Config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert}
	if f.Cert != "" {
		pair, err := f.pair()
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if f.CA != "" {
		ca, err := readTLSFile(f.CA)
		if err != nil {
			return nil, err
		}
		pool, err := certPool(ca)
		if err != nil {
			return nil, fmt.Errorf("%w %s: %w", ErrTLSFile, f.CA, err)
		}
		cfg.RootCAs, cfg.ClientCAs = pool, pool
	}
	return cfg, nil
}

// pair reads our certificate and its key.
func (f TLSFiles) pair() (tls.Certificate, error) {
	cert, err := readTLSFile(f.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, keyFile := cert, f.Cert
	if f.Key != "" {
		if key, err = readTLSFile(f.Key); err != nil {
			return tls.Certificate{}, err
		}
		keyFile = f.Key
	}
	pair, err := tls.X509KeyPair(cert, key) // whose errors quote nothing
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: certificate %s, key %s: %w", ErrTLSFile, f.Cert, keyFile, err)
	}
	return pair, nil
}

// certPool trusts every certificate in text, as OTP trusts what is in a cacertfile.
func certPool(text []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, errors.New("has no certificate (PEM) in it")
	}
	return pool, nil
}

func readTLSFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the user's own
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTLSFile, err)
	}
	defer f.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(f, maxTLSFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTLSFile, err)
	}
	if len(text) > maxTLSFile {
		return nil, fmt.Errorf("%w %s: more than %d bytes", ErrTLSFile, path, maxTLSFile)
	}
	return text, nil
}

// ReadOptFile returns what the client's side of a file for `erl -ssl_dist_optfile` says: [{server, Options}, {client,
// Options}]. with paths in certfile, keyfile and cacertfile (inet_tls_dist, "Using TLS for Erlang Distribution"). The
// server's side counts for what the client's leaves out. Other options, verify_none among them, are the Erlang nodes'
// own: this one always verifies.
func ReadOptFile(path string) (TLSFiles, error) {
	text, err := readTLSFile(path)
	if err != nil {
		return TLSFiles{}, err
	}
	term, err := etf.Parse(decodeOptFile(text))
	sides, ok := term.(etf.List)
	if err != nil || !ok { // err would quote the text, which may hold a password
		return TLSFiles{}, fmt.Errorf("%w %s: no list of {server, Options} and {client, Options} as Erlang reads it", ErrTLSFile, path)
	}
	var f TLSFiles
	for _, side := range []etf.Atom{"server", "client"} {
		options, _ := property(sides, side).(etf.List)
		for key, file := range map[etf.Atom]*string{"certfile": &f.Cert, "keyfile": &f.Key, "cacertfile": &f.CA} {
			if value := property(options, key); value != nil {
				if err := etf.Assign(value, file); err != nil {
					return TLSFiles{}, fmt.Errorf("%w %s: %s: %s is no file name", ErrTLSFile, path, side, key)
				}
			}
		}
	}
	if f == (TLSFiles{}) {
		return f, fmt.Errorf("%w %s: names no certfile and no cacertfile", ErrTLSFile, path)
	}
	return f, nil
}

// decodeOptFile makes text of an optfile as ssl_dist_sup does: it is Latin-1, unless a comment in one of its first two
// lines says that it is UTF-8 (epp:read_encoding/1).
func decodeOptFile(file []byte) string {
	head := bytes.SplitAfterN(file, []byte("\n"), 3)
	if slices.ContainsFunc(head[:min(len(head), 2)], optFileUTF8.Match) {
		return string(file)
	}
	runes := make([]rune, len(file))
	for i, b := range file {
		runes[i] = rune(b)
	}
	return string(runes)
}

var optFileUTF8 = regexp.MustCompile(`(?i)%.*coding[:=]\s*utf-8`)

// property is proplists:get_value, without what atoms alone mean.
func property(list etf.List, key etf.Atom) etf.Term {
	for _, t := range list {
		if pair, ok := t.(etf.Tuple); ok && len(pair) == 2 && pair[0] == key {
			return pair[1]
		}
	}
	return nil
}
