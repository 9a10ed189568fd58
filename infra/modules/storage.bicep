// Two accounts without shared keys: one for the host (queues, locks, the deployed package), one for documents.
// The app owns the first and may only read and write blobs in one container of the second.
param suffix string
param location string
param tags object
param documentsSku string
param immutabilityDays int
param identityPrincipalId string
param privateNetwork bool
param operatorIpAddresses array
param endpointSubnetId string
param blobZoneId string
param queueZoneId string

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'

var queueNames = [
  'ingest-messages'
  'ingest-messages-poison'
  'ingest-backlog'
  'ingest-backlog-poison'
  'subscription-events'
  'subscription-events-poison'
  'scan-results'
  'scan-results-poison'
]

var publicNetworkAccess = privateNetwork && empty(operatorIpAddresses) ? 'Disabled' : 'Enabled'
var defaultAction = privateNetwork ? 'Deny' : 'Allow'
var ipRules = [for address in operatorIpAddresses: { value: address, action: 'Allow' }]

resource host 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'stmailhost${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: { defaultAction: defaultAction, bypass: 'AzureServices', ipRules: ipRules }
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource package 'containers' = {
      name: 'app-package'
    }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource names 'queues' = [
      for name in queueNames: {
        name: name
      }
    ]
  }
}

resource documents 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'stmaildocs${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: documentsSku }
  properties: {
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: { defaultAction: defaultAction, bypass: 'AzureServices', ipRules: ipRules }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      // What an operator or the DMS deletes by mistake comes back for a month.
      deleteRetentionPolicy: { enabled: true, days: 30 }
      containerDeleteRetentionPolicy: { enabled: true, days: 30 }
    }

    resource container 'containers' = {
      name: 'documents'

      // Unlocked: the retention can still be changed. Locking is for good, and done by hand (docs/deploy.md).
      resource immutability 'immutabilityPolicies' = if (immutabilityDays > 0) {
        name: 'default'
        properties: {
          immutabilityPeriodSinceCreationInDays: immutabilityDays
          allowProtectedAppendWrites: false
        }
      }
    }
  }
}

// The host keeps its locks and the deployed package in blobs of this account.
// https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
resource ownsHostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, identityPrincipalId, storageBlobDataOwner)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource usesQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, identityPrincipalId, storageQueueDataContributor)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource writesDocuments 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(documents::blobs::container.id, identityPrincipalId, storageBlobDataContributor)
  scope: documents::blobs::container
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

module hostBlobEndpoint 'endpoint.bicep' = if (privateNetwork) {
  name: 'endpoint-host-blob'
  params: {
    name: 'pe-${host.name}-blob'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: host.id
    groupId: 'blob'
    zoneId: blobZoneId
  }
}

module hostQueueEndpoint 'endpoint.bicep' = if (privateNetwork) {
  name: 'endpoint-host-queue'
  params: {
    name: 'pe-${host.name}-queue'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: host.id
    groupId: 'queue'
    zoneId: queueZoneId
  }
}

module documentsEndpoint 'endpoint.bicep' = if (privateNetwork) {
  name: 'endpoint-documents-blob'
  params: {
    name: 'pe-${documents.name}-blob'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    targetId: documents.id
    groupId: 'blob'
    zoneId: blobZoneId
  }
}

output hostStorageName string = host.name
output packageContainerUrl string = '${host.properties.primaryEndpoints.blob}app-package'
output documentsBlobUrl string = documents.properties.primaryEndpoints.blob
output documentsStorageName string = documents.name
output documentsContainer string = documents::blobs::container.name
