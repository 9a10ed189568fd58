# Pester 5: the script against fakes of Exchange's cmdlets, first on an empty organisation, then on its own result.
# Runs where PowerShell is (.github/workflows/ci.yml). tests/unit/infra holds the script to its grammar everywhere.
BeforeAll {
    $script:path = Join-Path $PSScriptRoot 'Set-MailEntrance.ps1'
    $script:arguments = @{
        ApplicationId = '11111111-1111-1111-1111-111111111111'
        ObjectId      = '22222222-2222-2222-2222-222222222222'
        Mailbox       = 'upload@dms.example'
        OtherMailbox  = 'ceo@dms.example'
        Addresses     = 'CatchAll'
    }
    $script:exchange = @{}

    foreach ($noun in 'Mailbox', 'DynamicDistributionGroup', 'TransportRule', 'ServicePrincipal', 'ManagementScope') {
        Set-Item "function:global:Get-$noun" ([scriptblock]::Create("`$script:exchange['$noun']"))
    }
    function global:Get-AcceptedDomain { [pscustomobject] @{ DomainType = $script:exchange['DomainType'] } }
    function global:Set-AcceptedDomain($Identity, $DomainType) { $script:exchange['DomainType'] = $DomainType }
    function global:New-Mailbox([switch] $Shared, $Name, $PrimarySmtpAddress) { $script:exchange['Mailbox'] = $Name }
    function global:New-DynamicDistributionGroup($Name, $IncludedRecipients) {
        $script:exchange['DynamicDistributionGroup'] = $Name
    }
    function global:New-TransportRule($Name, $RecipientDomainIs, $ExceptIfSentToMemberOf, $RedirectMessageTo) {
        $script:exchange['TransportRule'] = [pscustomobject] @{
            RecipientDomainIs      = $RecipientDomainIs
            ExceptIfSentToMemberOf = $ExceptIfSentToMemberOf
            RedirectMessageTo      = $RedirectMessageTo
            State                  = 'Enabled'
        }
    }
    function global:New-ServicePrincipal($AppId, $ObjectId, $DisplayName) {
        $script:exchange['ServicePrincipal'] = $DisplayName
    }
    function global:New-ManagementScope($Name, $RecipientRestrictionFilter) {
        $script:exchange['ManagementScope'] = [pscustomobject] @{ RecipientFilter = $RecipientRestrictionFilter }
    }
    function global:Get-ManagementRoleAssignment { $script:exchange['Assignment'] }
    function global:New-ManagementRoleAssignment($App, $Role, $CustomResourceScope) {
        $script:exchange['Assignment'] = [pscustomobject] @{ Role = $Role; CustomResourceScope = $CustomResourceScope }
    }
    function global:Test-ServicePrincipalAuthorization($Identity, $Resource) {
        [pscustomobject] @{ RoleName = 'Application Mail.ReadWrite'; InScope = $Resource -in $script:exchange['Reached'] }
    }
}

BeforeEach {
    $script:exchange = @{ DomainType = 'Authoritative'; Reached = @('upload@dms.example') }
}

Describe 'Set-MailEntrance' {
    It 'changes nothing with -WhatIf' {
        $said = & $path @arguments -WhatIf
        $exchange.Keys | Sort-Object | Should -Be @('DomainType', 'Reached')
        $said | Where-Object { $_ -match '^(created|changed)' } | Should -BeNullOrEmpty
    }

    It 'sets everything up, and a second run changes nothing' {
        & $path @arguments | Where-Object { $_ -match '^created' } | Should -HaveCount 6
        $said = & $path @arguments
        $said | Where-Object { $_ -match '^(created|changed|would)' } | Should -BeNullOrEmpty
    }

    It 'ends with an error where the app reaches another mailbox' {
        $exchange['Reached'] = @('upload@dms.example', 'ceo@dms.example')
        { & $path @arguments } | Should -Throw '*ceo@dms.example*'
    }
}
