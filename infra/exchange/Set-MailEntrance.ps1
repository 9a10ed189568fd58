#Requires -Version 7.2
<#
.SYNOPSIS
Set up the mail entrance in Exchange Online: mailbox, addresses, and the app's right to this one mailbox.

.DESCRIPTION
Looks first and changes only what differs, so that a second run changes nothing. -WhatIf shows what would change.
Prints one line for each thing: "unchanged", "created", "changed" or "would …".

The right is given by RBAC for Applications, limited to the mailbox. A Mail permission that was granted in Entra is
for every mailbox and no scope limits it: the script looks for none, `python -m ingest doctor` does.
https://learn.microsoft.com/exchange/permissions-exo/application-rbac

.PARAMETER ApplicationId
Client id of the managed identity or app registration that reads the mailbox (azd output IDENTITY_CLIENT_ID).

.PARAMETER ObjectId
Object id of its service principal: the enterprise application, not the app registration (IDENTITY_OBJECT_ID).

.PARAMETER Mailbox
Address of the central mailbox. Made as a shared mailbox where it does not exist.

.PARAMETER OtherMailbox
A mailbox that the app must not reach. The last step tests both.

.PARAMETER Addresses
Plus: upload+<token>@domain, which needs nothing more. CatchAll: upload.<token>@domain as well, by an internal-relay
domain and a rule that redirects unknown recipients to the mailbox.

.PARAMETER Answers
Also give the right to send in the name of the mailbox, for answers to senders (INGEST_ANSWERS=graph).

.EXAMPLE
Connect-ExchangeOnline
./Set-MailEntrance.ps1 -ApplicationId 0f6c… -ObjectId 9b1d… -Mailbox upload@dms.cloud -OtherMailbox ceo@dms.cloud -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [Parameter(Mandatory)] [guid] $ApplicationId,
    [Parameter(Mandatory)] [guid] $ObjectId,
    [Parameter(Mandatory)] [ValidatePattern('^[^@\s''"]+@[^@\s''"]+$')] [string] $Mailbox,
    [Parameter(Mandatory)] [ValidatePattern('^[^@\s''"]+@[^@\s''"]+$')] [string] $OtherMailbox,
    [ValidateSet('Plus', 'CatchAll')] [string] $Addresses = 'Plus',
    [switch] $Answers,
    [string] $Name = 'mail ingest'
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$domain = $Mailbox.Split('@')[1]
$role = 'Application Mail.ReadWrite'
$filter = "PrimarySmtpAddress -eq '$Mailbox'"

function Write-Result([string] $Thing, [string] $Result) {
    Write-Output ('{0,-12} {1}' -f $Result, $Thing)
}

# Run $Change unless the thing is as wanted already, and say which of both it was.
function Set-Thing([string] $Thing, [bool] $Exists, [bool] $Right, [scriptblock] $Change) {
    if ($Exists -and $Right) {
        Write-Result $Thing 'unchanged'
        return
    }
    $done = if ($Exists) { 'changed' } else { 'created' }
    if ($PSCmdlet.ShouldProcess($Thing, $done)) {
        & $Change | Out-Null
        Write-Result $Thing $done
    }
    else {
        Write-Result $Thing "would be $done"
    }
}

# The mailbox. Shared: no licence up to 50 GB, and nobody signs in to it.
$box = Get-Mailbox -Identity $Mailbox -ErrorAction SilentlyContinue
Set-Thing "mailbox $Mailbox" ($null -ne $box) $true {
    New-Mailbox -Shared -Name $Name -PrimarySmtpAddress $Mailbox
}

# Addresses.
if ($Addresses -eq 'Plus') {
    $organization = Get-OrganizationConfig
    Set-Thing 'plus addressing' $true (-not $organization.DisablePlusAddressInRecipients) {
        Set-OrganizationConfig -DisablePlusAddressInRecipients $false
    }
}
else {
    $accepted = Get-AcceptedDomain -Identity $domain
    Set-Thing "domain $domain as internal relay" $true ($accepted.DomainType -eq 'InternalRelay') {
        Set-AcceptedDomain -Identity $domain -DomainType InternalRelay
    }

    # Everybody who has an address there, so that the rule leaves their mail alone.
    $members = "$Name known recipients"
    $group = Get-DynamicDistributionGroup -Identity $members -ErrorAction SilentlyContinue
    Set-Thing "group $members" ($null -ne $group) $true {
        New-DynamicDistributionGroup -Name $members -IncludedRecipients AllRecipients
    }

    # Redirect, never forward: forwarding replaces the recipient, and with it the token.
    $rule = Get-TransportRule -Identity $Name -ErrorAction SilentlyContinue
    $ruleIsRight = $null -ne $rule -and
        @($rule.RecipientDomainIs) -contains $domain -and
        @($rule.RedirectMessageTo) -contains $Mailbox -and
        @($rule.ExceptIfSentToMemberOf).Count -gt 0 -and
        $rule.State -eq 'Enabled'
    Set-Thing "rule $Name" ($null -ne $rule) $ruleIsRight {
        $wanted = @{
            RecipientDomainIs      = $domain
            ExceptIfSentToMemberOf = $members
            RedirectMessageTo      = $Mailbox
        }
        if ($null -eq $rule) { New-TransportRule -Name $Name @wanted }
        else {
            Set-TransportRule -Identity $Name @wanted
            Enable-TransportRule -Identity $Name -Confirm:$false
        }
    }
}

# The app's right, for this mailbox only.
$principal = Get-ServicePrincipal -Identity $ApplicationId.ToString() -ErrorAction SilentlyContinue
Set-Thing "service principal $ApplicationId" ($null -ne $principal) $true {
    New-ServicePrincipal -AppId $ApplicationId -ObjectId $ObjectId -DisplayName $Name
}

$scope = Get-ManagementScope -Identity $Name -ErrorAction SilentlyContinue
$scopeIsRight = $null -ne $scope -and $scope.RecipientFilter -eq $filter
Set-Thing "scope $Name" ($null -ne $scope) $scopeIsRight {
    if ($null -eq $scope) { New-ManagementScope -Name $Name -RecipientRestrictionFilter $filter }
    else { Set-ManagementScope -Identity $Name -RecipientRestrictionFilter $filter }
}

# Sending is a role of its own: the app has it only where senders get answers.
foreach ($wantedRole in @($role) + @(if ($Answers) { 'Application Mail.Send' })) {
    $assignment = Get-ManagementRoleAssignment -RoleAssignee $ApplicationId.ToString() -ErrorAction SilentlyContinue |
        Where-Object { $_.Role -eq $wantedRole -and $_.CustomResourceScope -eq $Name }
    Set-Thing "role $wantedRole" ($null -ne $assignment) $true {
        New-ManagementRoleAssignment -App $ApplicationId -Role $wantedRole -CustomResourceScope $Name
    }
}

# Proof. Exchange answers from its own configuration at once; Graph follows within two hours.
if ($WhatIfPreference) {
    Write-Result 'test of both mailboxes' 'skipped'
    return
}
foreach ($case in @(@{ Address = $Mailbox; InScope = $true }, @{ Address = $OtherMailbox; InScope = $false })) {
    $answer = Test-ServicePrincipalAuthorization -Identity $ApplicationId.ToString() -Resource $case.Address |
        Where-Object { $_.RoleName -eq $role }
    $reached = @($answer | Where-Object { $_.InScope -eq $true }).Count -gt 0
    if ($reached -ne $case.InScope) {
        throw "$($case.Address): in scope is $reached, and must be $($case.InScope)"
    }
    Write-Result "$($case.Address) in scope: $reached" 'tested'
}
