package ship

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/attest/keyless"
	"github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/secret"
)

// signing is how publish signs, and what it has signed before is known by. The zero value signs nothing.
type signing struct {
	by     attest.Signer
	trust  func(context.Context) (attest.Trust, error)
	steady bool // the same statement gets the same bytes
}

// who says who signs, "" when nothing is signed.
func (s signing) who(ctx context.Context) (string, error) {
	if s.by == nil {
		return "", nil
	}
	trust, err := s.trust(ctx)
	if err != nil {
		return "", err
	}
	return trust.String(), nil
}

// tokenVariable is where Sigstore's tools look for a token of who signs, and tokenPatience is how long a CI system may take to
// give one.
const (
	tokenVariable = "SIGSTORE_ID_TOKEN"
	tokenPatience = 30 * time.Second
)

// readSigning finds what signs, where the configuration names something.
func (o *outbound) readSigning(ctx context.Context, options Options, p project.Project) error {
	source := secret.Source{Getenv: options.Getenv, Environ: options.Environ, Dir: options.Source}
	switch {
	case !p.Publish.Key.IsZero():
		key, err := o.readKey(ctx, source, p.Publish)
		if err != nil {
			return err
		}
		o.signing = signing{by: key, steady: true, trust: func(context.Context) (attest.Trust, error) { return key.Public(), nil }}
	case p.Publish.Keyless != nil:
		signer, err := o.readKeyless(ctx, source, options, *p.Publish.Keyless)
		if err != nil {
			return fmt.Errorf("publish.sign.keyless: %w", err)
		}
		o.signing = signing{by: signer, trust: func(ctx context.Context) (attest.Trust, error) { return signer.Trust(ctx) }}
	}
	return nil
}

func (o *outbound) readKey(ctx context.Context, source secret.Source, p project.Publish) (*attest.Key, error) {
	pem, err := p.Key.Read(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("publish.sign.key: %w", err)
	}
	password := ""
	if !p.Password.IsZero() {
		if password, err = p.Password.Read(ctx, source); err != nil {
			return nil, fmt.Errorf("publish.sign.password: %w", err)
		}
		if err := secret.Check(password); err != nil {
			return nil, fmt.Errorf("publish.sign.password: %w", err)
		}
		o.secrets = append(o.secrets, password)
	}
	o.secrets = append(o.secrets, pem)
	key, err := attest.ReadKey([]byte(pem), []byte(password))
	if err != nil {
		return nil, fmt.Errorf("publish.sign.key: %w", err)
	}
	return key, nil
}

// readKeyless finds the token and the root. The authority is asked when something is signed: its certificates are good for
// minutes.
func (o *outbound) readKeyless(ctx context.Context, source secret.Source, options Options, k project.Keyless) (*keyless.Signer, error) {
	token, err := o.identityToken(ctx, source, k.Token)
	if err != nil {
		return nil, err
	}
	root, err := keylessRoot(ctx, options, k.Root)
	if err != nil {
		return nil, err
	}
	return keyless.New(keyless.Options{Fulcio: k.Fulcio, Rekor: k.Rekor, Timestamps: k.Timestamps, Token: token, Root: root})
}

// identityToken is what proves who signs: the token that is named, else that of the environment, else what the CI system gives
// this job.
func (o *outbound) identityToken(ctx context.Context, source secret.Source, named secret.Reference) (func(context.Context) (string, error), error) {
	if named.IsZero() && source.Getenv(tokenVariable) != "" {
		var err error
		if named, err = secret.Parse("env://" + tokenVariable); err != nil {
			return nil, err
		}
	}
	if named.IsZero() {
		return o.ciToken(ctx, source.Getenv)
	}
	token, err := named.Read(ctx, source)
	if err == nil {
		err = secret.Check(token)
	}
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	o.secrets = append(o.secrets, token)
	give := keyless.StaticToken(token)
	if _, err := give(ctx); err != nil { // before anything is built
		return nil, err
	}
	return give, nil
}

// ciToken is what a CI system says of this job. What GitHub would be asked with has to be there; GitLab has given its token already.
func (o *outbound) ciToken(ctx context.Context, getenv func(string) string) (func(context.Context) (string, error), error) {
	ask := forge.IdentityToken(getenv, &http.Client{Timeout: tokenPatience})
	give := func(ctx context.Context) (string, error) { return ask(ctx, keyless.Audience) }
	if bearer := getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"); forge.Detect(getenv) == forge.OnGitHub && bearer != "" {
		o.secrets = append(o.secrets, bearer)
		return give, nil
	}
	token, err := give(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w; or put a token into %s", err, tokenVariable)
	}
	o.secrets = append(o.secrets, token)
	return keyless.StaticToken(token), nil
}

// keylessRoot is the root in a file, or that of the public Sigstore.
func keylessRoot(ctx context.Context, o Options, file string) (keyless.Root, error) {
	if file == "" {
		return keyless.PublicRoot(ctx, o.Cache)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return keyless.Root{}, fmt.Errorf("read trusted root: %w", err)
	}
	return keyless.ReadRoot(data)
}
