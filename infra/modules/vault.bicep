// One secret: the clientState. Everything else signs in by identity.
param suffix string
param location string
param tags object
@secure()
param clientState string
param identityPrincipalId string
@description('Who deploys. Empty: azd draws a new secret with each deployment, as it can\'t read the one in the vault.')
param deployerObjectId string
param privateNetwork bool
param operatorIpAddresses array
param endpointSubnetId string
param vaultZoneId string

var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'

var ipRules = [for address in operatorIpAddresses: { value: address }]

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: 'kv-mail-${suffix}'
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: privateNetwork && empty(operatorIpAddresses) ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
      ipRules: ipRules
    }
  }

  resource secret 'secrets' = {
    name: 'ingest-client-state'
    properties: { value: clientState }
  }
}

resource readsSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault::secret.id, identityPrincipalId, keyVaultSecretsUser)
  scope: vault::secret
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource deployerReadsSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerObjectId)) {
  name: guid(vault::secret.id, deployerObjectId, keyVaultSecretsUser)
  scope: vault::secret
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
    principalId: deployerObjectId
  }
}

module endpoint 'endpoint.bicep' = if (privateNetwork) {
  name: 'endpoint-vault'
  params: {
    name: 'pe-${vault.name}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: vault.id
    groupId: 'vault'
    zoneId: vaultZoneId
  }
}

output name string = vault.name
// Without a version: the app takes a rotated secret within a day, or at once by a restart.
output clientStateUri string = vault::secret.properties.secretUri
