// Package cloud reaches what the service keeps in other people's data centers.
package cloud

import (
	"context"

	"cloud.google.com/go/auth/credentials"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"

	"example.com/service/internal/config"
)

// Cloud knows the buckets.
type Cloud struct{ settings config.Settings }

// Open returns the cloud of the settings; it connects when it is used.
func Open(s config.Settings) *Cloud { return &Cloud{settings: s} }

// Put tells the queue of a data center about a file.
func (c *Cloud) Put(ctx context.Context, name string) error {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	_, err = sqs.NewFromConfig(aws).SendMessage(ctx, &sqs.SendMessageInput{MessageBody: &name})
	return err
}

// Login looks for credentials of the other clouds.
func (c *Cloud) Login(ctx context.Context) error {
	if _, err := credentials.DetectDefault(&credentials.DetectOptions{}); err != nil {
		return err
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return err
	}
	_, err = credential.GetToken(ctx, policy.TokenRequestOptions{})
	return err
}

// Find asks the catalogs.
func (c *Cloud) Find(ctx context.Context) error {
	catalog, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return err
	}
	if _, err := catalog.Agent().Self(); err != nil {
		return err
	}
	secrets, err := vault.NewClient(vault.DefaultConfig())
	if err != nil {
		return err
	}
	_, err = secrets.Auth().Token().LookupSelfWithContext(ctx)
	return err
}
